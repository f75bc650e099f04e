package pager

import (
	"testing"

	"github.com/pawldb/pawl/internal/effort"
)

func TestMain(m *testing.M) { effort.Main(m) }
