package odd

import _ "github.com/pawldb/pawl/types"
