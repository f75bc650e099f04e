package broken

import _ "io"
