//go:build !pawl_check

package invariant

// Enabled says whether checks that walk whole structures run: built with the tag pawl_check.
const Enabled = false
