package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/corkline/corkline/exporter"
)

type ledgerCmd struct {
	StateDir string `default:"/var/lib/corkline" type:"path" placeholder:"DIR" help:"The agent's state_dir (default /var/lib/corkline)."`
	Output   string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

// Help is shown below the command's flags.
func (c *ledgerCmd) Help() string {
	return `Examples:
  corkline ledger
  corkline ledger --state-dir=/var/lib/corkline -o json

What became of the lines of each source over all restarts, as it was when the
agent last committed file positions; also while it runs. Each line that was read
is parsed or unparsed, and shipped, dead-lettered (in the archive), dropped (no
Loki is configured), lost (its file was truncated or removed before Loki took
it) or waiting (read for the metrics, still in its file). Files that were lost
or truncated may have cost lines that were never read, too.

Exit codes: 0 every account balances, 1 one does not, 2 the ledger could not be
read, or a part of it is damaged.`
}

// Run prints the accounts.
func (c *ledgerCmd) Run() error {
	accounts, damaged, err := exporter.ReadLedger(c.StateDir)
	if err != nil {
		return exitError{err, 2}
	}
	if c.Output == "json" {
		err = printJSON(os.Stdout, accounts)
	} else {
		err = printLedger(os.Stdout, accounts)
	}
	if err != nil {
		return exitError{err, 2}
	}
	for i := range accounts {
		if !accounts[i].Balances() {
			return errors.Join(fmt.Errorf("the account of source %q does not balance", accounts[i].Source), errors.Join(damaged...))
		}
	}
	if len(damaged) > 0 {
		return exitError{errors.Join(damaged...), 2}
	}
	return nil
}

func printLedger(w io.Writer, accounts []exporter.Account) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "READ\tPARSED\tUNPARSED\tSHIPPED\tDEAD-LETTERED\tDROPPED\tLOST\tWAITING\tLOST FILES\tTRUNCATED FILES\tSINCE\tBALANCES\t  SOURCE")
	for i := range accounts {
		a := &accounts[i]
		balances := "yes"
		if !a.Balances() {
			balances = "NO"
		}
		fmt.Fprintf(t, "%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t  %s\n", a.Read, a.Parsed, a.Unparsed, a.Shipped, a.DeadLettered,
			a.Dropped, a.Lost, a.Waiting, a.LostFiles, a.TruncatedFiles, a.Since.Format(time.RFC3339), balances, a.Source)
	}
	return t.Flush()
}
