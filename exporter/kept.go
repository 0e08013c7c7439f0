package exporter

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/corkline/corkline/exporter/source/tail"
)

// Account is what became of the lines of a source over all restarts, as it was
// when positions were last committed: it is written in one with them.
type Account struct {
	Source       string    `json:"source"`
	Since        time.Time `json:"since"`   // its beginning
	Written      time.Time `json:"written"` // its last change
	Read         int64     `json:"read"`
	Parsed       int64     `json:"parsed"`
	Unparsed     int64     `json:"unparsed"`
	Shipped      int64     `json:"shipped"`
	DeadLettered int64     `json:"dead_lettered"`
	Dropped      int64     `json:"dropped"`
	// Lost lines were read for the metrics, and their file was truncated or
	// removed before they could be shipped.
	Lost int64 `json:"lost"`
	// Waiting lines were read for the metrics, and not yet shipped. A restart
	// reads them again, and takes them off the account first.
	Waiting       int64 `json:"waiting"`
	WaitingParsed int64 `json:"waiting_parsed"`
	// LostFiles were gone, and TruncatedFiles cut, before they were known to be
	// read to their end. How many lines that were never read that cost cannot be
	// told.
	LostFiles      int64 `json:"lost_files"`
	TruncatedFiles int64 `json:"truncated_files"`
}

// Balances tells whether every line is in one place.
func (a *Account) Balances() bool {
	for _, n := range []int64{a.Read, a.Parsed, a.Unparsed, a.Shipped, a.DeadLettered, a.Dropped, a.Lost, a.Waiting} {
		if n < 0 {
			return false
		}
	}
	return a.Parsed+a.Unparsed == a.Read && a.placed() == a.Read
}

// placed counts the lines whose place is known.
func (a *Account) placed() int64 {
	return a.Shipped + a.DeadLettered + a.Dropped + a.Lost + a.Waiting
}

// ReadLedger gives the accounts that are kept in a state folder, by source,
// also while an agent uses it. Damaged ones are returned as warnings; other
// lines of the file that are damaged, too.
func ReadLedger(stateDir string) (accounts []Account, damaged []error, err error) {
	notes, damaged, err := tail.ReadNotes(stateDir)
	if err != nil {
		return nil, nil, fmt.Errorf("read the ledger: %w", err)
	}
	for source, note := range notes {
		a, err := decodeAccount(source, note)
		if err != nil {
			damaged = append(damaged, err)
			continue
		}
		accounts = append(accounts, a)
	}
	slices.SortFunc(accounts, func(a, b Account) int { return strings.Compare(a.Source, b.Source) })
	return accounts, damaged, nil
}

func decodeAccount(source string, note json.RawMessage) (Account, error) {
	a := Account{Lost: -1}
	if err := json.Unmarshal(note, &a); err != nil {
		return Account{}, fmt.Errorf("read the account of source %q: %w", source, err)
	}
	a.Source = source
	if a.Lost < 0 { // an older agent has written it, which left out just these
		a.Lost = 0
		a.Lost = max(0, a.Read-a.placed())
	}
	return a, nil
}

// restore the account that an earlier process has kept.
func (a *account) restore(kept Account) {
	kept.Read -= kept.Waiting
	kept.Parsed -= kept.WaitingParsed
	kept.Unparsed -= kept.Waiting - kept.WaitingParsed
	kept.Waiting, kept.WaitingParsed = 0, 0
	a.before = kept
}

// note is the account as it is kept with the positions.
func (a *account) note(source string, now time.Time) ([]byte, error) {
	b := &a.before
	if b.Since.IsZero() {
		b.Since = now.UTC()
	}
	return json.Marshal(Account{
		Source: source, Since: b.Since, Written: now.UTC(),
		Read: b.Read + a.read.Load(), Parsed: b.Parsed + a.parsed.Load(), Unparsed: b.Unparsed + a.unparsed.Load(),
		Shipped: b.Shipped + a.shipped.Load(), DeadLettered: b.DeadLettered + a.deadLettered.Load(), Dropped: b.Dropped + a.dropped.Load(),
		Lost:    b.Lost + a.lost.Load(),
		Waiting: a.waiting.Load(), WaitingParsed: a.waitingParsed,
		LostFiles: b.LostFiles + a.lostFiles.Load(), TruncatedFiles: b.TruncatedFiles + a.truncatedFiles.Load(),
	})
}
