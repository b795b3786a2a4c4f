package kit

import "time"

// JSON is the result as the kit saves it: one line, without a line end. The keys stand in the kit's order; a key of
// Metadata that the kit uses too is overwritten, or overwrites, as in a Python dict.
func (r Report) JSON() []byte {
	var o object
	r.asked(&o)
	r.measured(&o)
	for _, s := range r.Statistics {
		o.set("mean_"+s.Metric+"_ms", s.Mean)
		o.set("median_"+s.Metric+"_ms", s.Median)
		o.set("std_"+s.Metric+"_ms", s.Std)
		for i, p := range r.Bench.Percentiles {
			o.set("p"+percentWord(p)+"_"+s.Metric+"_ms", s.Percentiles[i])
		}
	}
	return o.text()
}

// asked sets what the user said.
func (r Report) asked(o *object) {
	b := r.Bench
	o.set("date", b.Date.Format(dateForm))
	o.set("endpoint_type", b.Backend)
	o.set("backend", b.Backend)
	o.set("label", orNull(b.Label != "", b.Label))
	o.set("model_id", b.Model)
	o.set("tokenizer_id", b.Tokenizer)
	o.set("num_prompts", b.Requests)
	for _, p := range b.Metadata {
		o.set(p.Key, p.Value)
	}
	o.set("request_rate", "inf")
	if b.paced() {
		o.set("request_rate", b.Rate)
	}
	o.set("burstiness", b.Burstiness)
	o.set("max_concurrency", orNull(b.Concurrency > 0, b.Concurrency))
	if up := b.RampUp; up != nil {
		o.set("ramp_up_strategy", up.Strategy)
		o.set("ramp_up_start_rps", up.Start)
		o.set("ramp_up_end_rps", up.End)
	}
}

// measured sets what came out, the lists included.
func (r Report) measured(o *object) {
	o.set("duration", r.Duration)
	o.set("completed", r.Completed)
	o.set("failed", r.Failed)
	o.set("total_input_tokens", r.InputTokens)
	o.set("total_output_tokens", r.OutputTokens)
	o.set("request_throughput", r.RequestThroughput)
	o.set("request_goodput", orNull(len(r.Bench.Goodput) > 0, r.Goodput))
	o.set("output_throughput", r.OutputThroughput)
	o.set("total_token_throughput", r.TotalThroughput)
	l := r.Lists
	detail := o.set
	if !r.Bench.Detailed { // the kit takes them out again at the end, and a metadata key of that name with them
		detail = func(key string, _ any) { o.drop(key) }
	}
	detail("input_lens", l.InputLens)
	detail("output_lens", l.OutputLens)
	detail("ttfts", l.TTFTs)
	detail("itls", l.ITLs)
	o.set("latencies", l.Latencies)
	detail("start_times", l.StartTimes)
	o.set("queue_times", l.QueueTimes)
	detail("generated_texts", l.Texts)
	detail("errors", l.Errors)
	o.set("max_output_tokens_per_s", r.PeakOutput)
	o.set("max_concurrent_requests", r.PeakConcurrent)
	o.set("rtfx", 0.0) // seconds of audio a second; lab sends none
	if r.Bench.RampUp != nil {
		o.set("rps_change_events", rpsChanges(r.Bench.RPSChanges))
	}
	if s := r.Bench.Spec; s != nil {
		o.set("spec_decode_acceptance_rate", s.AcceptanceRate)
		o.set("spec_decode_acceptance_length", s.AcceptanceLength)
		o.set("spec_decode_num_drafts", s.Drafts)
		o.set("spec_decode_draft_tokens", s.DraftTokens)
		o.set("spec_decode_accepted_tokens", s.AcceptedTokens)
		o.set("spec_decode_per_position_acceptance_rates", s.PerPosition)
	}
}

func orNull(has bool, v any) any {
	if has {
		return v
	}
	return nil
}

func rpsChanges(changes []RPSChange) []*object {
	list := make([]*object, len(changes))
	for i, change := range changes {
		form := "2006-01-02T15:04:05.000000"
		if change.At.Nanosecond() < int(time.Microsecond) {
			form = "2006-01-02T15:04:05" // Python leaves out a fraction of zero
		}
		list[i] = &object{}
		list[i].set("rps", change.RPS)
		list[i].set("timestamp", change.At.Format(form))
	}
	return list
}
