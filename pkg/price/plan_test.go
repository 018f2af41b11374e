package price

import "testing"

func TestPlans(t *testing.T) {
	t.Parallel()
	plans, err := Plans()
	if err != nil {
		t.Fatal(err)
	}
	month := map[string]int64{}
	for _, p := range plans {
		month[p.Provider+"/"+p.Tier] = p.Month
	}
	if len(plans) != 6 || month["claude/max_20x"] != 200_000_000 || month["openai/plus"] != 20_000_000 {
		t.Errorf("got %+v", plans)
	}
}
