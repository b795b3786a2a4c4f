package live

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"lab/internal/lab"
)

// Mode is how a measurement is shown.
type Mode int

// The modes. Notices are printed in all of them.
const (
	Plain Mode = iota // a line when something changes, and every ten seconds
	Live              // a few lines that are redrawn in place; for a terminal that can move its cursor
	None              // nothing but notices
)

// How often what is shown may change: the eye needs no more, and drawing must not disturb the load.
const (
	redraw = 500 * time.Millisecond
	repeat = 10 * time.Second // plain lines within a stage
)

// Options say where and how a View draws.
type Options struct {
	Mode  Mode
	Color bool
	Env   []string // of the terminal: TERM and the like
}

// View shows the status of a measurement. It may be fed from any goroutine, and feeding it never waits for the terminal.
// It begins to draw with the first status and ends with Close; after that it may begin again.
type View struct {
	out io.Writer
	o   Options

	mu      sync.Mutex
	feed    feed
	told    map[string]bool // alerts that plain lines were printed for
	plain   lab.Status      // that the last plain line was about
	printed time.Time       // when that was
	stop    chan struct{}   // ends the drawing; nil: nothing is drawn
	drawn   chan struct{}   // closed when it has ended
}

// feed is what the drawing side takes over at its own pace.
type feed struct {
	status   lab.Status
	at       time.Time // when it came
	lines    []string  // to print above what is redrawn
	stopping bool      // the user wants the measurement to end
	began    time.Time
	past     past
}

// New makes a view that writes to out.
func New(out io.Writer, o Options) *View { return &View{out: out, o: o} }

// Show takes the newest status.
func (v *View) Show(s lab.Status) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.o.Mode == None {
		return
	}
	now := time.Now()
	if v.stop == nil {
		v.begin(now)
	}
	v.feed.status, v.feed.at = s, now
	v.feed.past.take(s)
	if v.o.Mode == Plain {
		v.line(s, now)
	}
}

// Print writes a whole line of its own, above what is redrawn.
func (v *View) Print(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.stop == nil {
		fmt.Fprintln(v.out, text)
		return
	}
	v.feed.lines = append(v.feed.lines, text)
}

// Stopping says that the user wants the measurement to end, and that it will in good order.
func (v *View) Stopping() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.feed.stopping = true
}

// Close ends the drawing. Of a measurement a short summary stays.
func (v *View) Close() {
	v.mu.Lock()
	stop, drawn := v.stop, v.drawn
	v.stop = nil
	v.mu.Unlock()
	if stop == nil {
		return
	}
	close(stop)
	<-drawn
}

// begin is called with the lock held.
func (v *View) begin(now time.Time) {
	v.stop, v.drawn, v.told = make(chan struct{}), make(chan struct{}), map[string]bool{}
	v.feed = feed{began: now, stopping: v.feed.stopping}
	v.plain, v.printed = lab.Status{}, time.Time{}
	if v.o.Mode == Live {
		go v.draw(v.stop, v.drawn)
		return
	}
	go v.write(v.stop, v.drawn)
}

// take hands the drawing side what is new.
func (v *View) take() feed {
	v.mu.Lock()
	defer v.mu.Unlock()
	f := v.feed
	v.feed.lines = nil
	return f
}

// draw runs the terminal program. Its input stays the shell's: the terminal is put in no mode that would have to be left
// again, whatever ends lab, and Ctrl-C is a signal as ever.
func (v *View) draw(stop, drawn chan struct{}) {
	defer close(drawn)
	out := v.out
	if f, ok := out.(*os.File); ok {
		out = &sheet{f}
	}
	fmt.Fprintln(out) // tmux takes the erasing of a screen from its first row on for the end of a page, and keeps the page
	p := tea.NewProgram(&model{view: v, stop: stop, feed: v.take()}, tea.WithInput(nil), tea.WithOutput(out),
		tea.WithoutSignalHandler(), tea.WithFPS(int(2*time.Second/redraw)), tea.WithEnvironment(v.o.Env))
	if _, err := p.Run(); err != nil { // no terminal after all
		v.mu.Lock()
		v.o.Mode = Plain
		v.mu.Unlock()
		v.write(stop, make(chan struct{}))
	}
}

// sheet is a terminal whose cursor rests in the first column between two writes. The terminal echoes what is typed
// meanwhile, a ^C for instance; the next write begins where it was meant to all the same. A terminal that can shows each
// write at once.
type sheet struct{ file *os.File }

func (s *sheet) Write(p []byte) (int, error) {
	const begin, end = "\r\x1b[?2026h", "\x1b[?2026l"
	n, err := s.file.Write(slices.Concat([]byte(begin), p, []byte(end)))
	return min(max(0, n-len(begin)), len(p)), err
}

func (s *sheet) Read(p []byte) (int, error) { return s.file.Read(p) }
func (s *sheet) Close() error               { return s.file.Close() }
func (s *sheet) Fd() uintptr                { return s.file.Fd() }

// write writes plain lines as they come, and repeats the last one in long stages.
func (v *View) write(stop, drawn chan struct{}) {
	defer close(drawn)
	tick := time.NewTicker(redraw)
	defer tick.Stop()
	for done := false; !done; {
		select {
		case <-stop:
			done = true
		case now := <-tick.C:
			v.mu.Lock()
			if s := v.feed.status; s.Stage != "" && now.Sub(v.printed) >= repeat {
				s.Since += now.Sub(v.feed.at)
				v.line(s, now)
			}
			v.mu.Unlock()
		}
		for _, line := range v.take().lines {
			fmt.Fprintln(v.out, line)
		}
	}
}

// line adds the plain line of a status where one is due, and of each alert the first time that it is seen. It is called
// with the lock held.
func (v *View) line(s lab.Status, now time.Time) {
	for _, a := range s.Alerts {
		if key := fmt.Sprint(s.Run, a.Code, a.Of, a.Level); a.Level != lab.Note && !v.told[key] {
			v.told[key] = true
			v.feed.lines = append(v.feed.lines, alertLine(a))
		}
	}
	changed := s.Stage != v.plain.Stage || s.Run != v.plain.Run || s.Phase != v.plain.Phase
	if s.Stage == "" || !changed && now.Sub(v.printed) < repeat {
		return
	}
	v.plain, v.printed = s, now
	v.feed.lines = append(v.feed.lines, Text(s))
}

// model is the terminal program: what was fed, drawn again twice a second.
type model struct {
	view          *View
	stop          chan struct{}
	feed          feed
	width, height int
	over          bool
}

type tickMsg struct{}

func tick() tea.Cmd { return tea.Tick(redraw, func(time.Time) tea.Msg { return tickMsg{} }) }

func (m *model) Init() tea.Cmd { return tea.Batch(tick(), m.waitForStop) }

type stopMsg struct{}

func (m *model) waitForStop() tea.Msg {
	<-m.stop
	return stopMsg{}
}

func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tickMsg:
		return m, tea.Batch(m.renew(), tick())
	case stopMsg:
		m.over = true
		return m, tea.Sequence(m.renew(), tea.Quit)
	}
	return m, nil
}

// renew takes over what is new. All of it is drawn anew: the terminal echoes what is typed, and after a line of that the
// differences to what was drawn before would go to the wrong rows.
func (m *model) renew() tea.Cmd {
	m.feed = m.view.take()
	if len(m.feed.lines) == 0 {
		return tea.ClearScreen
	}
	return tea.Sequence(tea.Println(strings.Join(m.feed.lines, "\n")), tea.ClearScreen)
}

func (m *model) View() tea.View {
	var v tea.View
	v.DisableBracketedPasteMode = true
	lines := m.lines()
	if len(lines) == 0 {
		return v
	}
	v.SetContent(strings.Join(lines, "\n") + "\n")
	v.Cursor = tea.NewCursor(0, len(lines)) // shown, below the frame: nothing has to be undone in the end
	return v
}

func (m *model) lines() []string {
	if m.width == 0 { // not told yet
		return nil
	}
	if m.over {
		return summary(m.feed, time.Since(m.feed.began), m.width, m.view.o.Color)
	}
	s := m.feed.status
	s.Since += time.Since(m.feed.at)
	return Frame(s, Size{m.width, m.height}, m.view.o.Color, m.feed.stopping)
}

// past is what is to be remembered of the runs that went by.
type past struct {
	plan  *lab.PlanStatus
	sweep *lab.SweepStatus
	run   lab.Status // the last status of the last run
	runs  int
	seen  []seen // in the runs before that
}

// seen is an alert, and in how many runs it was raised.
type seen struct {
	lab.Alert
	runs int
}

func (p *past) take(s lab.Status) {
	if s.Plan != nil {
		p.plan = s.Plan
	}
	if s.Sweep != nil {
		p.sweep = s.Sweep
	}
	if s.Run == "" {
		return
	}
	if s.Run != p.run.Run {
		p.seen = p.alerts()
		p.runs++
	}
	p.run = s
}

// alerts are those of all runs. Of each its last status counts: what was seen in it on the way may have come to less.
func (p past) alerts() []seen {
	all := slices.Clone(p.seen)
	for _, a := range p.run.Alerts {
		i := slices.IndexFunc(all, func(k seen) bool { return k.Code == a.Code && k.Of == a.Of && k.Level == a.Level })
		if i < 0 {
			all = append(all, seen{a, 1})
			continue
		}
		all[i] = seen{a, all[i].runs + 1}
	}
	return all
}
