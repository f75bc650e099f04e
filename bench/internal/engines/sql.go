package engines

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
)

// sqliteConfig is how SQLite is configured in both of its forms.
const sqliteConfig = "WAL, synchronous=FULL, a cache as large as pawl's a connection, WITHOUT ROWID table with a BLOB key, " +
	"prepared statements, one connection that writes and one for each reader; relaxed: synchronous=OFF"

// statements are what a connection has prepared.
var statements = []string{
	begin:     "BEGIN",
	immediate: "BEGIN IMMEDIATE",
	commit:    "COMMIT",
	rollback:  "ROLLBACK",
	get:       "SELECT v FROM bench WHERE k = ?",
	put:       "INSERT INTO bench (k, v) VALUES (?, ?) ON CONFLICT (k) DO UPDATE SET v = excluded.v",
	remove:    "DELETE FROM bench WHERE k = ?",
	scan:      "SELECT k, v FROM bench ORDER BY k",
	scanBack:  "SELECT k, v FROM bench ORDER BY k DESC",
	seek:      "SELECT k, v FROM bench WHERE k >= ? ORDER BY k LIMIT ?",
}

const (
	begin = iota
	immediate
	commit
	rollback
	get
	put
	remove
	scan
	scanBack
	seek
)

const createTable = "CREATE TABLE IF NOT EXISTS bench (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID"

// sqlStore is SQLite behind database/sql. A connection is a transaction's own while that is open.
type sqlStore struct {
	db      *sql.DB
	pragmas []string
	readers sync.Pool // of *sqlConn
	all     []*sqlConn
	mu      sync.Mutex // guards all
	writing sync.Mutex // there is one writer at a time
	writer  *sqlConn
}

// sqlConn is a connection with its statements.
type sqlConn struct {
	conn  *sql.Conn
	stmts []*sql.Stmt
	value sql.RawBytes
	buf   []byte
}

// openSQL opens the database with a driver.
func openSQL(driver, dir string, o Options) (Store, error) {
	db, err := sql.Open(driver, "file:"+filepath.Join(dir, "bench.sqlite"))
	if err != nil {
		return nil, err
	}
	level := "FULL"
	if o.NoSync {
		level = "OFF"
	}
	s := &sqlStore{db: db, pragmas: []string{
		"PRAGMA busy_timeout=10000", "PRAGMA journal_mode=WAL", "PRAGMA synchronous=" + level,
		fmt.Sprintf("PRAGMA cache_size=-%d", o.cache()>>10),
	}}
	if s.writer, err = s.connect(createTable); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// connect makes a connection that is ready, after what else is to be done first.
func (s *sqlStore) connect(first ...string) (*sqlConn, error) {
	ctx := context.Background()
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	c := &sqlConn{conn: conn}
	s.mu.Lock()
	s.all = append(s.all, c)
	s.mu.Unlock()
	for _, one := range append(s.pragmas, first...) {
		if _, err := conn.ExecContext(ctx, one); err != nil {
			return nil, fmt.Errorf("%s: %w", one, err)
		}
	}
	return c, c.prepare()
}

// prepare prepares the statements.
func (c *sqlConn) prepare() error {
	for _, text := range statements {
		stmt, err := c.conn.PrepareContext(context.Background(), text)
		if err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
		c.stmts = append(c.stmts, stmt)
	}
	return nil
}

func (c *sqlConn) run(statement int, args ...any) error {
	_, err := c.stmts[statement].Exec(args...)
	return err
}

func (s *sqlStore) Update(fn func(Writer) error) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	c := s.writer
	if err := c.run(immediate); err != nil {
		return err
	}
	if err := fn(c); err != nil {
		return errors.Join(err, c.run(rollback))
	}
	return c.run(commit)
}

func (s *sqlStore) View(fn func(Reader) error) error {
	c, _ := s.readers.Get().(*sqlConn)
	if c == nil {
		var err error
		if c, err = s.connect(); err != nil {
			return err
		}
	}
	if err := c.run(begin); err != nil {
		return err
	}
	err := errors.Join(fn(c), c.run(commit))
	s.readers.Put(c)
	return err
}

func (s *sqlStore) DeleteRange(from, to []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if to == nil {
		to = pastAll
	}
	_, err := s.writer.conn.ExecContext(context.Background(), "DELETE FROM bench WHERE k >= ? AND k < ?", from, to)
	return err
}

func (s *sqlStore) Drop() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	all := strings.Join([]string{"BEGIN IMMEDIATE", "DROP TABLE bench", createTable, "COMMIT"}, ";")
	_, err := s.writer.conn.ExecContext(context.Background(), all)
	return err
}

// Close closes the readers' connections first: the last to be closed makes a checkpoint.
func (s *sqlStore) Close() error {
	var errs []error
	for i := len(s.all) - 1; i >= 0; i-- {
		for _, stmt := range s.all[i].stmts {
			errs = append(errs, stmt.Close())
		}
		errs = append(errs, s.all[i].conn.Close())
	}
	return errors.Join(append(errs, s.db.Close())...)
}

// Get copies the value into a buffer of the connection.
func (c *sqlConn) Get(key []byte) (value []byte, err error) {
	rows, err := c.stmts[get].Query(key)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if !rows.Next() {
		return nil, errors.Join(rows.Err(), ErrAbsent)
	}
	if err := rows.Scan(&c.value); err != nil {
		return nil, err
	}
	c.buf = append(c.buf[:0], c.value...)
	return c.buf, nil
}

func (c *sqlConn) Put(key, value []byte) error { return c.run(put, key, value) }

func (c *sqlConn) Delete(key []byte) error { return c.run(remove, key) }

func (c *sqlConn) Scan(fn Visit) error { return c.walk(fn, scan) }

func (c *sqlConn) ScanBack(fn Visit) error { return c.walk(fn, scanBack) }

func (c *sqlConn) Seek(key []byte, n int, fn Visit) error { return c.walk(fn, seek, key, n) }

// walk calls fn for each row.
func (c *sqlConn) walk(fn Visit, statement int, args ...any) (err error) {
	rows, err := c.stmts[statement].Query(args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var key, value sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&key, &value); err != nil {
			return err
		}
		if err := fn(key, value); err != nil {
			return err
		}
	}
	return rows.Err()
}
