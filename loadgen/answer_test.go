package loadgen

import (
	"strings"
	"testing"

	"lab/internal/lab"
)

func TestTheHashOfAnAnswerFollowsItsTextHoweverItIsCut(t *testing.T) {
	chat := func(fields string) string { return `data: {"choices":[{"index":0,"delta":{` + fields + `}}]}` + "\n\n" }
	last := `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n" + done
	hash := func(body string) uint64 {
		rec := send(t, t.Context(), 0, stream200(body))
		if rec.Error != "" {
			t.Fatalf("%s: %s (%s)", body, rec.Error, rec.Detail)
		}
		return rec.Answer
	}
	ab := hash(oneToken + lastToken + done)
	for what, body := range map[string]string{
		"in one event":       strings.Replace(lastToken, `"b"`, `"ab"`, 1) + done,
		"with empty ones":    strings.Replace(oneToken, `"a"`, `""`, 1) + oneToken + lastToken + done,
		"as a chat":          chat(`"role":"assistant","content":""`) + chat(`"content":"a"`) + chat(`"content":"b"`) + last,
		"half of it thought": chat(`"reasoning":"a"`) + chat(`"content":"b"`) + last,
	} {
		if got := hash(body); got != ab {
			t.Errorf("%s: %x, want %x", what, got, ab)
		}
	}
	if other := hash(oneToken + oneToken + strings.Replace(lastToken, `"b"`, `""`, 1) + done); other == ab || other == 0 {
		t.Errorf("another text has the hash %x", other)
	}
	if got := hash(chat(`"tool_calls":[{}]`) + last); got != 0 {
		t.Errorf("an answer without text has the hash %x", got)
	}
	if rec := send(t, t.Context(), 2, stream200(oneToken+lastToken)); rec.Error != lab.ErrCut || rec.Answer != 0 {
		t.Errorf("an answer that was cut off has the hash %x", rec.Answer)
	}
}
