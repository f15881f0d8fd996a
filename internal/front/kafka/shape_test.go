package kafka

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fill sets the fields of a message at random.
func fill(r *rand.Rand, v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if n := v.Type().Field(i).Name; n != "Version" && n != "UnknownTags" {
				fill(r, v.Field(i), depth+1)
			}
		}
	case reflect.Slice:
		n := r.IntN(4)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(r, v.Index(i), depth+1)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(r, v.Index(i), depth+1)
		}
	case reflect.Pointer:
		if r.IntN(2) == 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem(), depth+1)
		}
	case reflect.String:
		v.SetString(string(bytes.Repeat([]byte("x"), r.IntN(200))))
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(r.Int64N(3) - 1)
	case reflect.Uint8:
		v.SetUint(uint64(r.IntN(256)))
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	}
}

func TestShapesAreThoseOfTheCodec(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for key, a := range newAPIs() {
		if a.run == nil || int16(key) == keyProduce || int16(key) == keyFetch {
			continue
		}
		for v := a.flexible; v <= a.max; v++ {
			for range 200 {
				q := kmsg.RequestForKey(int16(key))
				q.SetVersion(v)
				fill(r, reflect.ValueOf(q).Elem(), 0)
				b := q.AppendTo(nil)
				if err := checkShape(int16(key), v, b); err != nil {
					t.Fatalf("%s, version %d: %x", kmsg.NameForKey(int16(key)), v, b)
				}
				// What follows is no field that is known: the shape ends where the codec does.
				if err := checkShape(int16(key), v, b[:len(b)-1]); err == nil {
					t.Fatalf("%s, version %d: it may lack its last byte", kmsg.NameForKey(int16(key)), v)
				}
			}
		}
	}
}

// Where they are counted, each request takes a minute.
func TestTagsThatAreNotThereAreNotCounted(t *testing.T) {
	for key, a := range newAPIs() {
		if a.run == nil || a.flexible > a.max {
			continue
		}
		p := newPeer(t, Config{})
		q := kmsg.RequestForKey(int16(key))
		b := frame(q, a.max, 1)
		b = append(b[:len(b)-1], 0xff, 0xff, 0xff, 0xff, 0x0f) // tagged fields: 4 milliards
		b[2], b[3] = byte((len(b)-4)>>8), byte(len(b)-4)
		err := p.feed(b)
		if err == nil && !p.w.ended {
			t.Errorf("%s is taken", kmsg.NameForKey(int16(key)))
		}
	}
}
