package openflow

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net"
	"os"
	"time"
)

// Client reads from one bridge. Its methods are for one goroutine at a time.
// After any error but an Error of the switch the connection is closed, and
// every further call fails: dial anew.
type Client struct {
	conn    net.Conn
	version Version
	xid     uint32
	flows15 layout // how the switch writes flows in OpenFlow 1.5

	buffer     []byte // of what was read and not yet handled, from read to write
	start, end int
	err        error // why the connection is closed
}

// bufferLen holds several messages; one has 65535 bytes at most.
const bufferLen = 256 << 10

// ErrVersion is what Dial returns, wrapped, when the bridge speaks none of the
// versions (Bridge.protocols in its database).
var ErrVersion = errors.New("no common version of OpenFlow")

// Dial connects to the management socket of a bridge, as
// /var/run/openvswitch/br-int.mgmt, and agrees on the highest version that
// both speak; without versions these are 1.3 and 1.5. The context ends the
// dialling only.
func Dial(ctx context.Context, path string, versions ...Version) (*Client, error) {
	if len(versions) == 0 {
		versions = []Version{Version13, Version15}
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("dial the bridge: %w", err)
	}
	c := newClient(conn)
	if err := c.do(ctx, func() error { return c.hello(versions) }); err != nil {
		return nil, fmt.Errorf("greet %s: %w", path, err)
	}
	return c, nil
}

func newClient(conn net.Conn) *Client { return &Client{conn: conn, buffer: make([]byte, bufferLen)} }

// Version that was agreed on.
func (c *Client) Version() Version { return c.version }

// Close ends the connection; a second time it does nothing.
func (c *Client) Close() error {
	if c.err == nil {
		c.err = net.ErrClosed
		return c.conn.Close()
	}
	return nil
}

// do runs a request under the context's deadline, and closes the connection
// when it fails other than by an answer of the switch.
func (c *Client) do(ctx context.Context, request func() error) error {
	if c.err != nil {
		return c.err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	deadline, _ := ctx.Deadline()
	err := c.conn.SetDeadline(deadline)
	if err == nil {
		done := make(chan struct{})
		stop := context.AfterFunc(ctx, func() {
			defer close(done)
			_ = c.conn.SetDeadline(time.Unix(1, 0)) // wakes the read; its error is the one that counts
		})
		err = request()
		if !stop() {
			<-done
		}
	}
	if err == nil {
		return nil
	}
	if answer := (Error{}); errors.As(err, &answer) && c.version != 0 {
		return err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		// The connection's clock may be a little ahead of the context's.
		err = fmt.Errorf("%w: %w", cmp.Or(ctx.Err(), context.DeadlineExceeded), err)
	}
	c.err = err
	_ = c.conn.Close() // broken anyway
	return err
}

// hello sends the versions as a bitmap (OFPHET_VERSIONBITMAP), and takes the
// highest that the switch has, too. A switch without a bitmap speaks up to
// the version of its header.
func (c *Client) hello(versions []Version) error {
	ours, highest := uint32(0), Version(0)
	for _, v := range versions {
		if v != Version13 && v != Version15 {
			return fmt.Errorf("%w: %d is not spoken here", ErrVersion, v)
		}
		ours, highest = ours|1<<v, max(highest, v)
	}
	message := [headerLen + 8]byte{byte(highest), typeHello, 2: 0, 3: headerLen + 8, 7: 1, headerLen + 1: 1, headerLen + 3: 8}
	binary.BigEndian.PutUint32(message[headerLen+4:], ours)
	if _, err := c.conn.Write(message[:]); err != nil {
		return err
	}
	for {
		m, err := c.message()
		if err != nil {
			return err
		}
		switch m[1] {
		case typeError:
			answer := decodeError(m)
			if answer.Type == 0 {
				return fmt.Errorf("%w: %w", ErrVersion, answer)
			}
			return answer
		case typeHello:
			theirs := helloVersions(m)
			common := ours & theirs
			if common == 0 {
				return fmt.Errorf("%w: the bridge speaks up to %s", ErrVersion, Version(bits.Len32(theirs)-1))
			}
			c.version = Version(bits.Len32(common) - 1)
			return nil
		}
	}
}

// helloVersions are those of a hello, a bit for each.
func helloVersions(m []byte) uint32 {
	for at := headerLen; len(m)-at >= 4; {
		kind, n := be16(m[at:]), int(be16(m[at+2:]))
		if n < 4 || n > len(m)-at {
			break
		}
		if kind == 1 && n >= 8 {
			return be32(m[at+4:])
		}
		at += min(padded(n), len(m)-at)
	}
	return 1<<(min(m[0], 30)+1) - 2
}

func decodeError(m []byte) Error {
	var e Error
	if len(m) >= headerLen+4 {
		e.Type, e.Code = be16(m[headerLen:]), be16(m[headerLen+2:])
	}
	if e.Type == 0xffff && len(m) >= headerLen+8 {
		e.Experimenter = be32(m[headerLen+4:])
	}
	return e
}

// message gives the next one, which is there until the next call.
func (c *Client) message() ([]byte, error) {
	for {
		if have := c.end - c.start; have >= headerLen {
			n := int(be16(c.buffer[c.start+2:]))
			if n < headerLen {
				return nil, fmt.Errorf("read a message: %w", DecodeError{"its length", 2})
			}
			if have >= n {
				m := c.buffer[c.start : c.start+n : c.start+n]
				c.start += n
				return m, nil
			}
		}
		if c.start > 0 && len(c.buffer)-c.start < 64<<10 || c.start == c.end {
			c.start, c.end = 0, copy(c.buffer, c.buffer[c.start:c.end])
		}
		n, err := c.conn.Read(c.buffer[c.end:])
		c.end += n
		if err != nil && n == 0 {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("read a message: %w", err)
		}
	}
}

// multipart sends a request and hands on the body of each part of the reply.
// What else the switch sends is passed over, but for its echo requests.
func (c *Client) multipart(ctx context.Context, kind uint16, body []byte, part func(body []byte) error) error {
	err := c.do(ctx, func() error {
		c.xid++
		xid := c.xid
		var array [multipartLen + 64]byte
		request := append(array[:multipartLen], body...)
		request[0], request[1] = byte(c.version), typeMultipartRequest
		binary.BigEndian.PutUint16(request[2:], uint16(len(request)))
		binary.BigEndian.PutUint32(request[4:], xid)
		binary.BigEndian.PutUint16(request[8:], kind)
		if _, err := c.conn.Write(request); err != nil {
			return err
		}
		for {
			m, err := c.message()
			if err != nil {
				return err
			}
			switch {
			case m[1] == typeEchoRequest:
				m[1] = typeEchoReply
				if _, err := c.conn.Write(m); err != nil {
					return err
				}
			case be32(m[4:]) != xid: // not an answer to this request
			case m[1] == typeError:
				return decodeError(m)
			case m[1] == typeMultipartReply:
				if len(m) < multipartLen || be16(m[8:]) != kind {
					return DecodeError{"the head of a reply", headerLen}
				}
				if err := part(m[multipartLen:]); err != nil {
					return err
				}
				if be16(m[10:])&1 == 0 { // no more
					return nil
				}
			}
		}
	})
	if err != nil {
		return fmt.Errorf("read %s: %w", multipartName(kind), err)
	}
	return nil
}
