//go:build !pawl_check

package invariant

import "testing"

func TestEnabledFollowsTheTag(t *testing.T) {
	if Enabled != false {
		t.Errorf("Enabled is %v", Enabled)
	}
}
