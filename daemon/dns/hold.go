package dns

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// most is how many answers are held at a time.
const most = 256

// holder reads the answers and lets them go on.
type holder struct {
	cfg    Config
	pair   *pair
	places chan struct{} // one value for each answer that is held
	ending chan struct{} // closed when nothing is held any more
	failed chan error
	full   bool // there was no place for the last

	reader sync.WaitGroup
	held   sync.WaitGroup

	mu      sync.Mutex
	streams map[connection]<-chan struct{} // those with an answer that is held; closed when it goes on
}

// connection is one of TCP, of the Pod with that link.
type connection struct {
	link   int
	stream string
}

func hold(cfg Config, p *pair) *holder {
	h := &holder{
		cfg: cfg, pair: p, places: make(chan struct{}, most), ending: make(chan struct{}), failed: make(chan error, 1),
		streams: map[connection]<-chan struct{}{},
	}
	h.reader.Go(h.run)
	return h
}

// close lets all answers go that came so far, and ends.
func (h *holder) close() error {
	close(h.ending)
	_ = h.pair.in.SetReadDeadline(time.Now())
	h.reader.Wait()
	for {
		f, err := h.pair.rest()
		if err != nil {
			break
		}
		h.handle(f)
	}
	h.held.Wait()
	return h.pair.close()
}

func (h *holder) run() {
	for {
		f, err := h.pair.read()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return
		case errors.Is(err, unix.EINVAL): // no virtio_net_hdr can tell what this frame is: it is lost
			continue
		case err != nil:
			h.failed <- fmt.Errorf("read from %s: %w", pairFrom, err)
			return
		}
		h.handle(f)
	}
}

// handle lets a frame go on now or later.
func (h *holder) handle(f frame) {
	if f.link == 0 {
		return
	}
	c := connection{f.link, stream(f.data[virtio:])}
	until := h.before(c)
	if until == nil {
		until = h.ask(f)
	}
	if until == nil {
		h.pair.send(f)
		return
	}
	h.later(f, c, until)
}

// later holds a frame, if there is a place.
func (h *holder) later(f frame, c connection, until <-chan struct{}) {
	select {
	case h.places <- struct{}{}:
		f.data = slices.Clone(f.data)
		sent := h.begin(c)
		h.held.Go(func() {
			h.keep(f, until)
			sent()
		})
		h.full = false
	default:
		h.overflow()
		h.pair.send(f)
	}
}

// overflow says once that there is no place.
func (h *holder) overflow() {
	if !h.full {
		h.full = true
		h.cfg.Log.Info("too many DNS answers are held: others go on at once", "most", most)
	}
}

// ask returns what the frame waits for, nil for nothing.
func (h *holder) ask(f frame) <-chan struct{} {
	payload, ok := message(f.data[virtio:])
	if !ok {
		return nil
	}
	r, ok := Parse(payload)
	if !ok {
		return nil
	}
	return h.cfg.Hold(r)
}

// before is the held answer that a frame of the same connection has to wait for: TCP sends again what nobody acknowledges, maybe in other
// pieces.
func (h *holder) before(c connection) <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.streams[c]
}

// begin makes what follows on a connection wait for a frame, unless it waits itself for one before. The function is called when that is sent.
func (h *holder) begin(c connection) (sent func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.stream == "" || h.streams[c] != nil {
		return func() {}
	}
	done := make(chan struct{})
	h.streams[c] = done
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.streams, c)
		close(done)
	}
}

// keep sends the frame when it is time.
func (h *holder) keep(f frame, until <-chan struct{}) {
	timer := time.NewTimer(h.cfg.Limit)
	defer timer.Stop()
	select {
	case <-until:
	case <-timer.C:
	case <-h.ending:
	}
	h.pair.send(f)
	<-h.places
}
