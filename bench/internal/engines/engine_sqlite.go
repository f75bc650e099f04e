package engines

import _ "modernc.org/sqlite" // the driver

var modernc = Engine{
	Name: "sqlite-go", Module: "modernc.org/sqlite", Config: "SQLite in pure Go, " + sqliteConfig,
	Open: func(dir string, o Options) (Store, error) { return openSQL("sqlite", dir, o) },
}
