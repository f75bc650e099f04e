package hidden

import _ "io"
