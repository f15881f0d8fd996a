package form

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"

	"trine/internal/front/amqp/topology"
	"trine/internal/front/gate"
)

func TestTablesComeBackAsTheyWere(t *testing.T) {
	const text = `{"a":[1,"x",null,true,{"y":{}}],"b":-9007199254740993,"c":1.5,"d":""}`
	o, err := Read(bytes.NewReader([]byte(text)), "a", "d")
	if err != nil {
		t.Fatal(err)
	}
	table, err := Table(o)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := json.Marshal(topology.TableInfo(table)); err != nil || string(b) != text {
		t.Errorf("%s, %v", b, err)
	}
	if _, err := Read(bytes.NewReader([]byte(text)), "a", "e"); err == nil ||
		err.(*Trouble).Status != http.StatusBadRequest {
		t.Errorf("a key is missing: %v", err)
	}
}

// FuzzRequest: whatever a request says of users, permissions and arguments, it is taken or
// refused with a 400.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"password":"x","tags":"a, b","limits":{"max-channels":3}}`))
	f.Add([]byte(`{"password_hash":"AAAAAAmpGNWh","hashing_algorithm":"rabbit_password_hashing_md5","tags":["a"]}`))
	f.Add([]byte(`{"configure":"^a","write":"(","read":".*","exchange":"x"}`))
	f.Add([]byte(`{"a":[[[[{}]]]],"b":1e999,"c":"\u0000"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := Read(bytes.NewReader(b))
		check := func(err error) {
			if e, is := err.(*Trouble); err != nil && (!is || e.Status != http.StatusBadRequest) {
				t.Fatalf("%v", err)
			}
		}
		check(err)
		if err != nil {
			return
		}
		var known gate.Snapshot
		if _, slow := o["password"]; !slow {
			_, err = User(&known, "ann", o)
			check(err)
		}
		_, err = Permission("ann", "/", o)
		check(err)
		_, err = Topic("ann", "/", o)
		check(err)
		_, err = Table(o)
		check(err)
		_, _ = FieldsOf(o)
		_ = Erlang(o)
	})
}
