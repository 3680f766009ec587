package spool

import (
	"bytes"
	"testing"
)

// BenchmarkAppend is what a record of 1.5 KB costs whoever appends it.
func BenchmarkAppend(b *testing.B) {
	for _, parallel := range []bool{false, true} {
		b.Run(map[bool]string{false: "alone", true: "parallel"}[parallel], func(b *testing.B) {
			o := options(b.TempDir())
			o.MaxBytes = 4 << 30
			s := open(b, o)
			r := Record{Subject: subject, ID: "0123456789abcdef0123456789abcdef", Payload: bytes.Repeat([]byte{'x'}, 1500)}
			b.SetBytes(int64(len(r.Payload)))
			b.ReportAllocs()
			if !parallel {
				for b.Loop() {
					if err := s.Append(r); err != nil {
						b.Fatal(err)
					}
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := s.Append(r); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
