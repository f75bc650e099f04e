//go:build cgo

package engines

import _ "github.com/mattn/go-sqlite3" // the driver

var sqliteEngine = Engine{
	Name: "sqlite", Module: "github.com/mattn/go-sqlite3", Config: "SQLite in C, " + sqliteConfig,
	Open: func(dir string, o Options) (Store, error) { return openSQL("sqlite3", dir, o) },
}
