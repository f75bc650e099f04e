package pawltest_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/pawldb/pawl"
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/pawltest"
)

// bank is a toy application: accounts, and money that goes from one to another.
type bank struct {
	db       *pawl.DB
	careless bool // a transfer is two transactions
}

// openBank opens a bank in which ada has 100. The backend is nil outside of tests.
func openBank(backend io.IO, careless bool) (*bank, error) {
	db, err := pawl.Open("bank.pawl", &pawl.Options{IO: backend})
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *pawl.Tx) error {
		if there, err := tx.Root().Has([]byte("ada")); err != nil || there {
			return err
		}
		return book(tx, "ada", 100)
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &bank{db, careless}, nil
}

// balance returns what an account holds.
func balance(tx *pawl.Tx, account string) (int64, error) {
	value, err := tx.Root().Get([]byte(account))
	if errors.Is(err, pawl.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return int64(binary.BigEndian.Uint64(value)), nil
}

// book adds an amount to an account.
func book(tx *pawl.Tx, account string, amount int64) error {
	old, err := balance(tx, account)
	if err != nil {
		return err
	}
	return tx.Root().Put([]byte(account), binary.BigEndian.AppendUint64(nil, uint64(old+amount)))
}

// transfer moves an amount. When it returns nil it is done, for good.
func (b *bank) transfer(from, to string, amount int64) error {
	if b.careless {
		err := b.db.Update(func(tx *pawl.Tx) error { return book(tx, from, -amount) })
		if err != nil {
			return err
		}
		return b.db.Update(func(tx *pawl.Tx) error { return book(tx, to, amount) })
	}
	return b.db.Update(func(tx *pawl.Tx) error {
		if err := book(tx, from, -amount); err != nil {
			return err
		}
		return book(tx, to, amount)
	})
}

// testBank tests that money is neither made nor lost, and that a transfer that was acknowledged is done.
func testBank(t pawltest.TB, careless bool) {
	type state struct{ transferred int64 } // acknowledged

	work := func(disk *pawltest.Disk, s *state) error {
		b, err := openBank(disk.IO(), careless)
		if err != nil {
			return err
		}
		defer b.db.Close()
		for range 3 {
			if err := b.transfer("ada", "bob", 10); err != nil {
				return err
			}
			s.transferred += 10
		}
		return nil
	}
	verify := func(disk *pawltest.Disk, s *state) error {
		b, err := openBank(disk.IO(), careless)
		if err != nil {
			return err
		}
		defer b.db.Close()
		return b.db.View(func(tx *pawl.Tx) error {
			ada, err := balance(tx, "ada")
			if err != nil {
				return err
			}
			bob, err := balance(tx, "bob")
			switch {
			case err != nil:
				return err
			case ada+bob != 100:
				return fmt.Errorf("ada has %d and bob %d, not 100 together", ada, bob)
			case bob < s.transferred:
				return fmt.Errorf("bob has %d, and was told of %d", bob, s.transferred)
			}
			return nil
		})
	}
	pawltest.EveryCut(t, work, verify)
}

// A test of a program passes its *testing.T.
func TestBank(t *testing.T) { testBank(t, false) }

// A transfer in two transactions is a bug that shows when the power goes between the two. EveryCut finds it.
func ExampleEveryCut() {
	fmt.Println("two transactions:", outcome(func(t pawltest.TB) { testBank(t, true) }))
	fmt.Println("one transaction: ", outcome(func(t pawltest.TB) { testBank(t, false) }))
	// Output:
	// two transactions: pawltest: after a power cut: ada has 90 and bob 0, not 100 together
	// one transaction:  passed
}

// testOrder tests that an order which a shop has taken is there after a power cut.
func testOrder(t pawltest.TB, durability pawl.Durability) {
	open := func(disk *pawltest.Disk) *pawl.DB {
		db, err := pawl.Open("shop.pawl", &pawl.Options{IO: disk.IO(), Durability: durability, SyncInterval: time.Hour})
		if err != nil {
			t.Fatalf("%v", err)
		}
		return db
	}
	disk := pawltest.New(t, pawltest.Options{Survivors: pawltest.Nothing})
	shop := open(disk)
	err := shop.Update(func(tx *pawl.Tx) error { return tx.Root().Put([]byte("order 1"), []byte("a pawl")) })
	if err != nil {
		t.Fatalf("%v", err)
	}
	disk.PowerCut()
	_ = shop.Close() // ends its goroutine; the power is gone
	disk.Reopen()
	shop = open(disk)
	defer shop.Close()
	err = shop.View(func(tx *pawl.Tx) error {
		_, err := tx.Root().Get([]byte("order 1"))
		return err
	})
	if err != nil {
		t.Fatalf("order 1, which was taken: %v", err)
	}
}

// Relaxed commits are a bug in a program that acknowledges what it has committed.
func ExampleDisk() {
	fmt.Println("relaxed:", outcome(func(t pawltest.TB) { testOrder(t, pawl.Relaxed) }))
	fmt.Println("full:   ", outcome(func(t pawltest.TB) { testOrder(t, pawl.Full) }))
	// Output:
	// relaxed: order 1, which was taken: pawl: key not found
	// full:    passed
}

// The power goes in the middle of a transfer, and every disk is looked at that this can leave.
func ExampleDisk_Crashes() {
	fmt.Println(outcome(func(t pawltest.TB) {
		disk := pawltest.New(t)
		b, err := openBank(disk.IO(), false)
		if err != nil {
			t.Fatalf("%v", err)
		}
		disk.CutAt(1)
		err = b.transfer("ada", "bob", 10)
		fmt.Println("the power is off:", errors.Is(err, pawltest.ErrPowerCut))
		fmt.Println("who knows if it is done:", errors.Is(err, pawl.ErrCommitUnknown))
		_ = b.db.Close()

		found := map[int64]bool{}
		for disk := range disk.Crashes() {
			b, err := openBank(disk.IO(), false)
			if err != nil {
				t.Fatalf("%v", err)
			}
			err = b.db.View(func(tx *pawl.Tx) error {
				bob, err := balance(tx, "bob")
				found[bob] = true
				return err
			})
			if err := errors.Join(err, b.db.Close()); err != nil {
				t.Fatalf("%v", err)
			}
		}
		fmt.Println("bob has:", slices.Sorted(maps.Keys(found)))
	}))
	// Output:
	// the power is off: true
	// who knows if it is done: true
	// bob has: [0 10]
	// passed
}

// outcome runs a test and returns how it ended.
func outcome(test func(t pawltest.TB)) string {
	t := &recorder{message: "passed"}
	t.run(test)
	return t.message
}
