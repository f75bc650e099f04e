package types

import "errors"

// ErrSnapshotExpired means that a reader was ended: it kept more bytes of old blocks and log from being used again than
// MaxHeldBytes allows. What it has returned stays valid.
var ErrSnapshotExpired = errors.New("pawl: snapshot has expired")
