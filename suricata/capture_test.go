package suricata

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os"
	"testing"
	"time"
)

// A turn is what one side of a TCP connection says before the other speaks.
type turn struct {
	fromServer bool
	data       string
	lost       bool // the capture has none of it
}

func says(data string) turn    { return turn{data: data} }
func answers(data string) turn { return turn{fromServer: true, data: data} }

// Traffic is a part of a conversation between a client and a server. It adds its
// packets to the capture.
type traffic func(c *capture, client, server netip.Addr)

func (t turn) isLost() turn {
	t.lost = true
	return t
}

// connection is a TCP connection with handshake and orderly end.
func connection(port uint16, turns ...turn) traffic {
	return func(c *capture, client, server netip.Addr) {
		f := c.converse(client, server, port, turns)
		f.send(false, tcpFIN|tcpACK, nil)
		f.send(true, tcpFIN|tcpACK, nil)
		f.send(false, tcpACK, nil)
	}
}

// open is a TCP connection that does not end.
func open(port uint16, turns ...turn) traffic {
	return func(c *capture, client, server netip.Addr) { c.converse(client, server, port, turns) }
}

func (c *capture) converse(client, server netip.Addr, port uint16, turns []turn) *flow {
	f := c.dial(client, server, port)
	f.send(false, tcpSYN, nil)
	f.send(true, tcpSYN|tcpACK, nil)
	f.send(false, tcpACK, nil)
	for _, turn := range turns {
		for data := []byte(turn.data); len(data) > 0; {
			n := min(len(data), segmentSize)
			c.losing = turn.lost
			f.send(turn.fromServer, tcpPSH|tcpACK, data[:n])
			c.losing = false
			f.send(!turn.fromServer, tcpACK, nil)
			data = data[n:]
		}
	}
	return f
}

// refused is n attempts to connect to closed ports, from the given one upwards.
func refused(port uint16, n int) traffic {
	return func(c *capture, client, server netip.Addr) {
		for i := range n {
			f := c.dial(client, server, port+uint16(i))
			f.send(false, tcpSYN, nil)
			f.sequence[1] = 0
			f.send(true, tcpRST|tcpACK, nil)
		}
	}
}

// repeated is the same traffic n times.
func repeated(n int, t traffic) traffic {
	return func(c *capture, client, server netip.Addr) {
		for range n {
			t(c, client, server)
		}
	}
}

// datagram is a UDP datagram of the client.
func datagram(port uint16, data []byte) traffic {
	return func(c *capture, client, server netip.Addr) {
		c.nextPort++
		header := binary.BigEndian.AppendUint16(nil, c.nextPort)
		header = binary.BigEndian.AppendUint16(header, port)
		header = binary.BigEndian.AppendUint16(header, uint16(8+len(data)))
		header = binary.BigEndian.AppendUint16(header, 0)
		c.packet(client, server, protocolUDP, append(header, data...))
	}
}

const (
	protocolTCP = 6
	protocolUDP = 17

	tcpFIN = 0x01
	tcpSYN = 0x02
	tcpRST = 0x04
	tcpPSH = 0x08
	tcpACK = 0x10

	segmentSize = 1400
)

// flow is one TCP connection: index 0 is the client's side, 1 the server's.
type flow struct {
	capture   *capture
	addresses [2]netip.Addr
	ports     [2]uint16
	sequence  [2]uint32
}

func (f *flow) send(fromServer bool, flags byte, data []byte) {
	from, to := 0, 1
	if fromServer {
		from, to = 1, 0
	}
	segment := binary.BigEndian.AppendUint16(nil, f.ports[from])
	segment = binary.BigEndian.AppendUint16(segment, f.ports[to])
	segment = binary.BigEndian.AppendUint32(segment, f.sequence[from])
	acknowledged := uint32(0)
	if flags&tcpACK != 0 {
		acknowledged = f.sequence[to]
	}
	segment = binary.BigEndian.AppendUint32(segment, acknowledged)
	segment = append(segment, 5<<4, flags)
	segment = binary.BigEndian.AppendUint16(segment, 64240) // window
	segment = append(segment, 0, 0, 0, 0)                   // checksum, urgent pointer
	segment = append(segment, data...)
	f.capture.packet(f.addresses[from], f.addresses[to], protocolTCP, segment)

	f.sequence[from] += uint32(len(data))
	if flags&(tcpSYN|tcpFIN) != 0 {
		f.sequence[from]++
	}
}

// capture is a pcap file in the making. Checksums are left zero, as they are
// between containers of one machine.
type capture struct {
	file     bytes.Buffer
	now      time.Time
	nextPort uint16
	losing   bool // packets are not captured
	packets  int  // in the file
}

func newCapture() *capture {
	c := &capture{now: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC), nextPort: 32768}
	header := struct {
		Magic        uint32
		Major, Minor uint16
		Zone         int32
		Precision    uint32
		SnapLength   uint32
		LinkType     uint32
	}{Magic: 0xa1b2c3d4, Major: 2, Minor: 4, SnapLength: 65535, LinkType: 1}
	_ = binary.Write(&c.file, binary.LittleEndian, header) // a buffer takes all
	return c
}

func (c *capture) dial(client, server netip.Addr, port uint16) *flow {
	c.nextPort++
	return &flow{
		capture:   c,
		addresses: [2]netip.Addr{client, server},
		ports:     [2]uint16{c.nextPort, port},
		sequence:  [2]uint32{1000, 900000},
	}
}

// packet adds an IPv4 packet, a millisecond after the last one.
func (c *capture) packet(from, to netip.Addr, protocol byte, body []byte) {
	frame := append(bytes.Repeat([]byte{0x02}, 12), 0x08, 0x00) // addresses, IPv4
	frame = append(frame, 0x45, 0)
	frame = binary.BigEndian.AppendUint16(frame, uint16(20+len(body)))
	frame = append(frame, 0, 0, 0x40, 0, 64, protocol, 0, 0)
	frame = append(frame, from.AsSlice()...)
	frame = append(frame, to.AsSlice()...)
	frame = append(frame, body...)

	c.now = c.now.Add(time.Millisecond)
	if c.losing {
		return
	}
	c.packets++
	for _, n := range []int64{c.now.Unix(), int64(c.now.Nanosecond() / 1000), int64(len(frame)), int64(len(frame))} {
		c.file.Write(binary.LittleEndian.AppendUint32(nil, uint32(n)))
	}
	c.file.Write(frame)
}

// pause lets time pass, as between two conversations.
func (c *capture) pause(d time.Duration) { c.now = c.now.Add(d) }

func (c *capture) save(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, c.file.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
