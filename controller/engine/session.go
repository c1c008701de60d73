package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/heddle-net/heddle/controller/compile"
	"github.com/heddle-net/heddle/ovs/nb"
)

// session is the work on one connection.
type session struct {
	*Engine
	conn    *nb.Conn
	limiter *rate.Limiter
	waiting *waiting
	synced  bool
	// drifted are owners whose rows somebody else has changed, audited those that wait to be compared for no reason but
	// the time: what is repaired then, no event explains.
	drifted, audited map[nb.Owner]bool
}

func newSession(e *Engine, conn *nb.Conn) *session {
	return &session{
		Engine: e, conn: conn, limiter: rate.NewLimiter(rate.Limit(e.cfg.Rate), e.cfg.Burst),
		waiting: newWaiting(), drifted: make(map[nb.Owner]bool), audited: make(map[nb.Owner]bool),
	}
}

func (s *session) run(ctx context.Context) error {
	if err := s.conn.Acquire(ctx); err != nil {
		return err
	}
	s.start()
	audit := time.NewTicker(s.cfg.Audit)
	defer audit.Stop()
	for {
		if err := s.drain(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.conn.Done():
			return nil
		case <-s.cfg.Store.Dirty():
		case <-s.conn.Changed():
			s.repair(s.conn.Sync())
		case <-audit.C:
			if err := s.audit(ctx); err != nil {
				return err
			}
		case <-s.release:
			s.letGo()
		}
	}
}

// drain commits until nothing waits.
func (s *session) drain(ctx context.Context) error {
	for {
		if err := s.linger(ctx); err != nil {
			return err
		}
		owners, event := s.cfg.Store.Take(s.cfg.Batch)
		if len(owners) == 0 {
			s.setSynced()
			return nil
		}
		for _, o := range owners {
			if event {
				delete(s.audited, o)
			}
		}
		s.repair(s.conn.Sync())
		if err := s.apply(ctx, owners); err != nil {
			s.cfg.Store.MarkBulk(owners...) // whoever waits for an answer gets it from the next session
			return err
		}
	}
}

// linger lets changes gather when they come faster than the rate: the first ones of a burst commit at once, a transaction
// that is full waits for nothing.
func (s *session) linger(ctx context.Context) error {
	n := s.cfg.Store.Waiting()
	if n == 0 || n >= s.cfg.Batch {
		return nil
	}
	if delay := s.limiter.Reserve().Delay(); delay > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.conn.Done():
			return errors.New("northbound database: connection lost")
		case <-time.After(delay):
		}
	}
	return nil
}

func (s *session) setSynced() {
	if !s.synced {
		s.synced = true
		s.cfg.Sink.Synced(true)
		s.cfg.Log.Info("The northbound database agrees with Kubernetes", "rows", s.conn.Size())
	}
}

// repair marks owners whose rows somebody else changed.
func (s *session) repair(drift nb.Drift) {
	for _, o := range drift.Owners {
		s.drifted[o] = true
	}
	s.mark(drift.Owners)
	s.mark(s.waiting.appeared(drift.Refs))
	late := s.waiting.missed(drift.Refs)
	for _, o := range late {
		s.conn.Forget(o)
	}
	s.mark(late)
}

// mark makes owners dirty as one change.
func (s *session) mark(owners []nb.Owner) {
	if len(owners) > 0 {
		s.cfg.Store.Mark(owners...)
	}
}

// audit compiles and compares everything again, behind all other work.
func (s *session) audit(ctx context.Context) error {
	s.repair(s.conn.Rescan())
	moved, err := s.conn.Relist(ctx)
	if err != nil {
		return err
	}
	s.repair(moved)
	everybody := s.everybody(nil)
	for _, o := range everybody {
		s.audited[o] = true
	}
	s.cfg.Store.MarkBulk(everybody...)
	return nil
}

// apply makes the owners' rows what they want, in one transaction. What the database refuses is halved. Whose removal is held
// back is left out, whoever asks.
func (s *session) apply(ctx context.Context, owners []nb.Owner) error {
	wants, problems := s.gather(owners)
	wants = slices.DeleteFunc(wants, s.stillHeld)
	txn := nb.Plan(s.conn, wants)
	err := s.conn.Commit(ctx, txn)
	if err == nil || errors.Is(err, nb.ErrRefused) { // what a lost connection makes us plan is nothing that was done
		s.stats.commit(txn)
	}
	switch {
	case errors.Is(err, nb.ErrRefused):
		if len(owners) == 1 { // nor does it commit without its groups
			s.cfg.Log.Error(err, "The database refuses an owner", "owner", owners[0].String())
			s.refused(owners[0], problems[owners[0]], err)
		}
		return s.divide(ctx, owners, wants)
	case err != nil:
		return fmt.Errorf("commit %d owners: %w", len(owners), err)
	}
	s.waiting.came(wants, txn.Blocked)
	s.follow(txn)
	s.report(wants, txn, problems)
	return nil
}

// follow wakes the owners that waited for what the transaction did, and notes those that wait now.
func (s *session) follow(txn nb.Txn) {
	var woken []nb.Owner
	for _, c := range txn.Changes {
		if c.Action != nb.Modify {
			woken = append(woken, s.waiting.appeared([]nb.Ref{c.Ref})...)
		}
		woken = append(woken, s.waiting.moved(c.Owner)...)
		if s.drifted[c.Owner] || s.audited[c.Owner] {
			s.stats.DriftRepaired.Add(1)
			s.cfg.Log.Info("Repaired a row that differed without an event", "row", c.Ref.String(), "action", string(c.Action), "columns", c.Columns)
		}
	}
	s.mark(woken)
	for _, b := range txn.Blocked {
		s.mark(s.waiting.block(b))
	}
	for _, m := range txn.Missing {
		s.waiting.miss(m)
	}
}

func (s *session) report(wants []nb.Want, txn nb.Txn, problems map[nb.Owner][]compile.Problem) {
	blocked := make(map[nb.Owner]*compile.Problem, len(txn.Blocked))
	for _, b := range txn.Blocked {
		blocked[b.Owner] = &compile.Problem{Reason: b.Reason, Text: b.Text()}
	}
	results := make([]Result, len(wants))
	for i, w := range wants {
		results[i] = Result{Owner: w.Owner, Rows: len(w.Rows), Problems: problems[w.Owner], Blocked: blocked[w.Owner]}
		delete(s.drifted, w.Owner)
		delete(s.audited, w.Owner)
	}
	s.cfg.Sink.Done(results)
}

// reasonRefused is the problem of an owner whose rows the database does not take.
const reasonRefused = "RefusedByDatabase"

func (s *session) refused(owner nb.Owner, problems []compile.Problem, err error) {
	blocked := &compile.Problem{Reason: reasonRefused, Text: err.Error()}
	s.cfg.Sink.Done([]Result{{Owner: owner, Problems: problems, Blocked: blocked}})
}
