package simulation

import "math"

// Story is something that happens in the cluster, and that several parts of it
// tell of.
type Story string

// The stories. What is not told is an ordinary day.
const (
	// Scaling takes the Deployment shop/web from 1 Pod to 100 and back.
	Scaling Story = "scaling"
	// SlowMember is a server of the pool of shop-https that takes ten times as
	// long as the others.
	SlowMember Story = "slow-member"
	// Rejected has a new policy that rejects shop/frontend → shop/catalog.
	Rejected Story = "rejected"
	// WAFAttack is a scanner that tries injections on shop-https.
	WAFAttack Story = "waf-attack"
	// DefaultDeny has a policy without rules, which cuts shop/payments off.
	DefaultDeny Story = "default-deny"
	// SiteDown has one of the three sites of a GSLB service fail, whose weights
	// are 6, 3 and 1.
	SiteDown Story = "site-down"
	// ConnectionLeak fills most of the connection tracking table, evenly in the
	// end: shop/web-0 opens connections to a database and closes none, until it is
	// restarted.
	ConnectionLeak Story = "connection-leak"
	// SYNFlood fills the rest, or all of it within a minute: shop/loadtest sends
	// SYNs to shop/catalog.
	SYNFlood Story = "syn-flood"
)

// Stories in the order in which they begin.
func Stories() []Story {
	return []Story{ConnectionLeak, Scaling, SlowMember, Rejected, WAFAttack, DefaultDeny, SiteDown, SYNFlood}
}

// period after which all stories are told again, in seconds. The last two
// minutes are quiet, so that those after know what is usual.
const period = 720

// when gives the seconds within a period between which a story is told.
func (s Story) when() (begin, end int) {
	switch s {
	case Scaling:
		return 20, 320
	case SlowMember:
		return 40, 280
	case Rejected:
		return 60, 240
	case WAFAttack:
		return 90, 210
	case DefaultDeny:
		return 120, 240
	case SiteDown:
		return 180, 400
	case ConnectionLeak:
		return 0, 580
	case SYNFlood: // when the alert on the leak fires
		return 485, 575
	default:
		return 0, 0
	}
}

// Since tells how many seconds ago a story began that is told.
func (m Moment) Since(s Story) (second int, told bool) {
	progress, told := m.Told(s)
	begin, end := s.when()
	return int(math.Round(progress * float64(end-begin))), told
}
