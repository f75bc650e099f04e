package nested

import _ "io"
