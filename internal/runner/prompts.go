package runner

import (
	"context"
	"errors"

	"lab/internal/dataset"
	"lab/internal/lab"
	"lab/internal/tokenizer"
	"lab/loadgen"
	"lab/supervisor"
)

// checkPrompts makes the prompts of every phase once, so that what is wrong with a data set is known before a server
// starts. A server that does not run yet may still bring the tokenizer that is missing.
func (l *Lab) checkPrompts(ctx context.Context, r *Ready) error {
	e := r.Experiment
	r.vocab = l.vocab(e)
	if err := l.findTokenizer(r); err != nil {
		return err
	}
	for _, p := range e.Phases {
		env := dataset.Env{Vocab: r.vocab, Tokenizer: r.tokenizer}
		if e.Attached() {
			env.Server = supervisor.NewText(l.access(e.Server, e.Server.BaseURL), e.Server.Model)
		}
		_, err := dataset.Open(ctx, p.Load, env)
		if errors.Is(err, dataset.ErrNoTokenizer) && !e.Attached() {
			err = nil
		}
		if err := errors.Join(err, loadgen.Check(p.Load)); err != nil {
			return obstacle("phase %s: %w", p.Name, err)
		}
	}
	return nil
}

// vocab bounds random token ids. A server's own vocabulary is not part of its HTTP interface, so it is read from the
// model's folder; where that cannot be, a range that every common model has is taken.
func (l *Lab) vocab(e lab.Experiment) int {
	const common = 512 // of the vocabularies in use the smallest that random prompts are sent to
	for _, p := range e.Phases {
		if v := p.Load.Dataset.Vocab; v > 0 {
			return v
		}
	}
	if v, ok := dataset.Vocab(e.Server.Model, l.Getenv); ok {
		return v
	}
	return common
}

// findTokenizer loads the tokenizer that the data sets name, else the model's, where one of them needs any. One that was
// named and is not there is an obstacle; in place of the model's the server can be asked.
func (l *Lab) findTokenizer(r *Ready) error {
	for _, p := range r.Experiment.Phases {
		if !textual(p.Load) {
			continue
		}
		name := p.Load.Dataset.Tokenizer
		named := name != ""
		if !named {
			name = r.Experiment.Server.Model
		}
		dir, ok := tokenizer.Find(name, l.Getenv)
		if !ok && named {
			return obstacle("phase %s: the tokenizer %s is neither a folder with a tokenizer.json nor in the Hugging Face cache; lab never downloads", p.Name, name)
		}
		if !ok {
			continue
		}
		t, err := tokenizer.Load(dir)
		if err != nil && named {
			return obstacle("phase %s: %w", p.Name, err)
		}
		if err == nil {
			r.tokenizer = t
		}
	}
	return nil
}

// textual says whether the prompts of a load are text that must be counted in tokens.
func textual(l lab.Load) bool {
	switch l.Dataset.Kind {
	case "prompts", "timed_trace":
		return false
	case "random", "prefix_repetition":
		return l.API == "chat"
	}
	return true
}

// prompts makes the prompts that are sent to a running server, and cuts the load to what the data set has.
func (j *job) prompts(ctx context.Context, o *loadgen.Options, pool uint64, n int) error {
	server := supervisor.NewText(j.lab.access(j.run.Experiment.Server, o.Target.URL), o.Target.Model)
	env := dataset.Env{Vocab: j.ready.vocab, Pool: pool, Requests: n, Tokenizer: j.ready.tokenizer, Server: server}
	prompts, err := dataset.Open(ctx, o.Phase.Load, env)
	if err != nil {
		return err
	}
	o.Prompts, o.Times = prompts, dataset.Times(prompts)
	if most := dataset.Limit(prompts); most > 0 && (o.Phase.Load.Requests == 0 || o.Phase.Load.Requests > most) {
		o.Phase.Load.Requests = most
	}
	return nil
}
