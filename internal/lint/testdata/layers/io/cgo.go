package io

import "C"
