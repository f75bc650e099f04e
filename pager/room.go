package pager

// Room is how much room a database has without growing.
type Room struct {
	Bytes int64 // length of file and log
	Tight bool  // a few small transactions more would make one of them longer; a checkpoint may help
}

// Room returns how much room there is.
func (p *Pager) Room() Room {
	free, reserved := p.space.available()
	return Room{
		Bytes: int64(p.space.blocks())*int64(p.pageSize) + p.log.Stats().FileBytes,
		Tight: free-reserved < spareBlocks/2 || p.log.Tight(),
	}
}
