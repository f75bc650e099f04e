package golden

import _ "github.com/pawldb/pawl/types"
