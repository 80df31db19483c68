// A client with nothing but Go's socket.io client: follows a model and writes a record, or only
// listens.
//
//	follow http://127.0.0.1:8765 todo        follow, with pages, heartbeats and a write
//	follow http://127.0.0.1:8765 todo bare   hear `changed` and no more
package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/zishang520/socket.io/clients/socket/v3"
	"github.com/zishang520/socket.io/v3/pkg/types"
)

const deadline = 20 * time.Second

type object = map[string]any

// Interval is what `changed` and a page tell.
type Interval struct {
	Epoch      string   `json:"epoch"`
	Since      int64    `json:"since"`
	Checkpoint int64    `json:"checkpoint"`
	Head       int64    `json:"head"`
	Updates    []Update `json:"updates"`
}

// Update is a change with the record's data.
type Update struct {
	Model     string   `json:"model"`
	ID        string   `json:"id"`
	Rev       string   `json:"rev"`
	Prev      *string  `json:"prev"`
	Ancestors []string `json:"ancestors"`
	Origin    string   `json:"origin"`
	Data      object   `json:"data,omitempty"`
}

// Listen hears which models change; the library's own reconnection is all that it takes.
func listen(url string) error {
	client, err := socket.Connect(url, socket.DefaultOptions())
	if err != nil {
		return err
	}
	_ = client.On("connect", func(...any) { fmt.Println("connected") })
	_ = client.On("changed", func(args ...any) { fmt.Println("changed", args[0]) })
	select {}
}

// Follower keeps a model's records, by the rules of PROTOCOL.md, section 4.
type Follower struct {
	url, model    string
	client        *socket.Socket
	source, epoch string
	seq           int64
	records       map[string]Update
	hasWritten    bool
	ticket        string
	delay         time.Duration
}

// Run follows for ever: after a `bye` the library does not come back by itself.
func (f *Follower) run() {
	for {
		f.delay = time.Second
		if err := f.follow(); err != nil {
			fmt.Println("lost", err)
		}
		if f.client != nil {
			f.client.Disconnect()
		}
		time.Sleep(f.delay)
	}
}

// Follow one connection to its end. Handlers only hand on what they hear, so that all the work is
// done here, in order: one that waited for an answer would keep the library from reading it.
func (f *Follower) follow() error {
	opts := socket.DefaultOptions()
	// At once, without polls first.
	opts.SetTransports(types.NewSet(socket.WebSocket))
	opts.SetForceNew(true)
	opts.SetReconnection(false)
	auth := object{"protocol": 1}
	if f.ticket != "" {
		auth["ticket"] = f.ticket
	}
	opts.SetAuth(auth)
	heard, byes := make(chan Interval, 1000), make(chan time.Duration, 10)
	opened, ended := make(chan error, 10), make(chan error, 10)
	client, err := socket.Connect(f.url, opts)
	if err != nil {
		return err
	}
	f.client = client
	_ = client.On("connect", func(...any) { opened <- nil })
	_ = client.On("connect_error", func(args ...any) { opened <- f.refused(args) })
	_ = client.On("disconnect", func(...any) { ended <- errors.New("disconnected") })
	_ = client.On("bye", func(args ...any) {
		var bye struct {
			DelayMs int64 `json:"delay_ms"`
		}
		if convert(args[0], &bye) == nil {
			byes <- time.Duration(bye.DelayMs) * time.Millisecond
		}
	})
	_ = client.On("behind", func(...any) { heard <- Interval{Checkpoint: math.MaxInt64} })
	_ = client.On("changed", func(args ...any) {
		var interval Interval
		if convert(args[0], &interval) == nil {
			heard <- interval
		}
	})
	select {
	case err := <-opened:
		if err != nil {
			return err
		}
	case <-time.After(deadline):
		return errors.New("not connected in time")
	}
	f.ticket = ""
	heartbeat, err := f.hello()
	if err != nil {
		return err
	}
	for {
		select {
		case err := <-ended:
			if len(byes) > 0 {
				f.delay = <-byes
			}
			return err
		case interval := <-heard:
			f.take(interval)
			if interval.Checkpoint > f.seq {
				if err := f.readPages(); err != nil {
					return err
				}
			}
		case <-time.After(heartbeat):
			var beat struct{ Head int64 }
			if _, err := f.ask(&beat, "heartbeat", object{"cursor": f.seq}); err != nil {
				return err
			}
			if beat.Head > f.seq {
				if err := f.readPages(); err != nil {
					return err
				}
			}
		}
	}
}

// Hello comes before anything else.
func (f *Follower) hello() (time.Duration, error) {
	var welcome struct {
		Source    string  `json:"source"`
		Epoch     string  `json:"epoch"`
		Head      int64   `json:"head"`
		Standing  string  `json:"standing"`
		Heartbeat float64 `json:"heartbeat_s"`
	}
	_, err := f.ask(&welcome, "hello", object{
		"replica": "go-example", "models": []string{f.model},
		"source": f.source, "epoch": f.epoch, "seq": f.seq,
	})
	if err != nil {
		return 0, err
	}
	if welcome.Standing == "reset" {
		f.records, f.seq = map[string]Update{}, 0
	}
	f.source, f.epoch = welcome.Source, welcome.Epoch
	if welcome.Head > f.seq {
		if err := f.readPages(); err != nil {
			return 0, err
		}
	}
	if !f.hasWritten {
		if err := f.write("go", object{"title": "from go"}); err != nil {
			return 0, err
		}
		f.hasWritten = true
	}
	fmt.Println("ready", f.seq)
	return time.Duration(welcome.Heartbeat * float64(time.Second)), nil
}

// Ask makes a request, and reads the answer and the list that may be attached to it.
func (f *Follower) ask(answer any, event string, args ...any) ([]byte, error) {
	type result struct {
		args []any
		err  error
	}
	got := make(chan result, 1)
	f.client.Timeout(deadline).EmitWithAck(event, args...)(func(args []any, err error) {
		got <- result{args, err}
	})
	said := <-got
	if said.err != nil {
		return nil, said.err
	}
	if len(said.args) == 0 {
		return nil, errors.New(event + ": an empty answer")
	}
	var failed struct {
		Error *struct{ Code, Message string } `json:"error"`
	}
	if err := convert(said.args[0], &failed); err != nil {
		return nil, err
	}
	if failed.Error != nil {
		return nil, errors.New(failed.Error.Message)
	}
	if len(said.args) > 1 {
		if attached, ok := said.args[1].(interface{ Bytes() []byte }); ok {
			return attached.Bytes(), convert(said.args[0], answer)
		}
	}
	return nil, convert(said.args[0], answer)
}

// ReadPages gathers pages until one is whole, and takes them as one interval.
func (f *Follower) readPages() error {
	whole := Interval{Epoch: f.epoch, Since: f.seq, Checkpoint: f.seq}
	for {
		var page Interval
		list, err := f.ask(&page, "changes", object{"since": whole.Checkpoint})
		if err != nil {
			return err
		}
		var updates []Update
		if err := json.Unmarshal(list, &updates); err != nil {
			return err
		}
		whole.Epoch, whole.Checkpoint = page.Epoch, page.Checkpoint
		whole.Updates = append(whole.Updates, updates...)
		if page.Checkpoint >= page.Head {
			break
		}
	}
	f.take(whole)
	return nil
}

// Take an interval that joins what is held; of any other the pages will tell. One without updates
// only says where the list stands.
func (f *Follower) take(interval Interval) {
	joins := interval.Since <= f.seq && f.seq < interval.Checkpoint
	if interval.Epoch != f.epoch || !joins || interval.Updates == nil {
		return
	}
	for _, update := range interval.Updates {
		f.records[update.ID] = update
		data, _ := json.Marshal(update.Data)
		fmt.Println("record", update.ID, string(data))
	}
	f.seq = interval.Checkpoint
}

// Refused notes when to come back from where there was no room. The library tells a daemon that is
// not there; of a refused CONNECT it tells nothing, as tried, and then the deadline has to do.
func (f *Follower) refused(args []any) error {
	var refusal struct {
		Data struct {
			Code    string `json:"code"`
			DelayMs int64  `json:"delay_ms"`
			Ticket  string `json:"ticket"`
		} `json:"data"`
	}
	if err := convert(args[0], &refusal); err == nil && refusal.Data.Code == "busy" {
		f.delay = time.Duration(refusal.Data.DelayMs) * time.Millisecond
		f.ticket = refusal.Data.Ticket
	}
	return fmt.Errorf("refused: %v", args[0])
}

// Write pushes one record, built on what is held of it.
func (f *Follower) write(id string, data object) error {
	update := Update{Model: f.model, ID: id, Ancestors: []string{}, Origin: "go-example", Data: data}
	data["id"] = id
	generation := 0
	if held, ok := f.records[id]; ok {
		update.Prev = &held.Rev
		update.Ancestors = append(held.Ancestors, strings.TrimSuffix(held.Rev, "-deleted"))
	}
	for _, one := range update.Ancestors {
		number, _, _ := strings.Cut(one, "-")
		n, _ := strconv.Atoi(number)
		generation = max(generation, n)
	}
	nonce := make([]byte, 8)
	_, _ = rand.Read(nonce)
	update.Rev = fmt.Sprintf("%d-%s", generation+1, hex.EncodeToString(nonce))
	update.Ancestors = update.Ancestors[max(0, len(update.Ancestors)-64):]
	var answer struct {
		Results []struct{ Answer string } `json:"results"`
	}
	if _, err := f.ask(&answer, "bulk_update", object{"updates": []Update{update}}); err != nil {
		return err
	}
	fmt.Println("wrote", answer.Results[0].Answer)
	return nil
}

// Convert makes of a decoded value the record that it stands for.
func convert(value, into any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

func main() {
	if len(os.Args) > 3 && os.Args[3] == "bare" {
		if err := listen(os.Args[1]); err != nil {
			fmt.Println("lost", err)
		}
		return
	}
	(&Follower{url: os.Args[1], model: os.Args[2], records: map[string]Update{}}).run()
}
