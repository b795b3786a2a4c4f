package gpu

import "context"

// Scrape reads the engine's counters once, under lab's names, for who has to act on them; Watch records them.
func Scrape(ctx context.Context, url string) (map[string]float64, error) {
	return newEngine(url).scrape(ctx)
}
