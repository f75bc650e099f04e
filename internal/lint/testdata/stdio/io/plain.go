package io

import "io"

var _ = io.EOF
