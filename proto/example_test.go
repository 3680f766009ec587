package proto_test

import (
	"fmt"
	"time"

	"github.com/openclaw-security/bus/proto"
)

// A program of your own describes what it saw as an event and publishes it with
// the id in a header: here, a login on the owner's machine.
func ExampleEvent() {
	const line = `{"user":"root","from":"203.0.113.9"}`
	e := proto.Event{
		ID:       proto.EventID("box1", "sshd", "auth.log", 512, []byte(line)),
		Time:     time.Date(2026, 11, 22, 7, 30, 0, 0, time.UTC),
		Host:     "box1",
		Source:   "sshd",
		Kind:     "login",
		ClassUID: proto.ClassUIDDetectionFinding,
		Title:    "Login as root",
		Src:      &proto.Endpoint{IP: "203.0.113.9"},
		Raw:      []byte(line),
	}
	e.SetSeverity(proto.SeverityMedium)

	fmt.Println(e.Subject().Ingest())
	fmt.Println(proto.HeaderEventID+":", e.ID)
	fmt.Printf("%s\n", e.AppendJSON(nil))
	// Output:
	// ingest.alert.box1.sshd.login.medium
	// Event-Id: 018024ee928eff74f3d3dac480a50e24
	// {"id":"018024ee928eff74f3d3dac480a50e24","time":"2026-11-22T07:30:00Z","host":"box1","source":"sshd","kind":"login","severity":"medium","severity_id":3,"class_uid":2004,"title":"Login as root","src":{"ip":"203.0.113.9"},"raw":{"user":"root","from":"203.0.113.9"}}
}
