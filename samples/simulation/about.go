package simulation

// About says what happens in a story.
func (s Story) About() string {
	switch s {
	case Scaling:
		return "the Deployment shop/web is scaled from 1 Pod to 100 and back"
	case SYNFlood:
		return "shop/loadtest-0 floods shop/catalog-0 with SYNs, until the connection tracking table is full"
	case SlowMember:
		return "one server of shop-web-pool takes ten times as long as the others"
	case Rejected:
		return "a new policy rejects what shop/frontend-0 sends to shop/catalog-0"
	case WAFAttack:
		return "a scanner tries injections on shop-https"
	case DefaultDeny:
		return "a policy without rules cuts shop/payments-0 off"
	case ConnectionLeak:
		return "shop/web-0 opens connections to a database and closes none, and the connection tracking table fills up"
	case SiteDown:
		return "frankfurt, one of the three sites of shop.example.com, fails"
	default:
		return ""
	}
}
