package wire

import (
	"encoding/binary"
	"strconv"
)

// Writer appends frames to B. A frame is Begin, its fields, Body where it has one
// (its bytes are appended to B by whoever has them), and End.
type Writer struct {
	B []byte

	form   Form
	start  int // of the frame
	ext    int // binary: where the length of the fields stands
	body   int // where the body begins; 0: the header is still open
	fields int
}

// Begin opens a frame.
func (w *Writer) Begin(form Form, code int, opaque, flag int32, remark string) {
	w.form, w.start, w.body, w.fields = form, len(w.B), 0, 0
	w.B = append(w.B, 0, 0, 0, 0, byte(form), 0, 0, 0)
	if form == Binary {
		w.B = binary.BigEndian.AppendUint16(w.B, uint16(code))
		w.B = append(w.B, LanguageJava)
		w.B = binary.BigEndian.AppendUint16(w.B, ProtocolVersion)
		w.B = binary.BigEndian.AppendUint32(w.B, uint32(opaque))
		w.B = binary.BigEndian.AppendUint32(w.B, uint32(flag))
		w.B = binary.BigEndian.AppendUint32(w.B, uint32(len(remark)))
		w.B = append(w.B, remark...)
		w.ext = len(w.B)
		w.B = append(w.B, 0, 0, 0, 0)
		return
	}
	w.B = append(w.B, `{"code":`...)
	w.B = strconv.AppendInt(w.B, int64(code), 10)
	w.B = append(w.B, `,"flag":`...)
	w.B = strconv.AppendInt(w.B, int64(flag), 10)
	w.B = append(w.B, `,"language":"JAVA","opaque":`...)
	w.B = strconv.AppendInt(w.B, int64(opaque), 10)
	if remark != "" {
		w.B = append(w.B, `,"remark":`...)
		w.B = AppendString(w.B, remark)
	}
	w.B = append(w.B, `,"serializeTypeCurrentRPC":"JSON","version":`...)
	w.B = strconv.AppendInt(w.B, ProtocolVersion, 10)
	w.B = append(w.B, `,"extFields":{`...)
}

// Answer opens the frame that answers c.
func (w *Writer) Answer(form Form, opaque int32, code int, remark string) {
	w.Begin(form, code, opaque, FlagResponse, remark)
}

func (w *Writer) key(key string) {
	if w.form == Binary {
		w.B = binary.BigEndian.AppendUint16(w.B, uint16(len(key)))
		w.B = append(w.B, key...)
		return
	}
	if w.fields > 0 {
		w.B = append(w.B, ',')
	}
	w.fields++
	w.B = append(w.B, '"')
	w.B = append(w.B, key...)
	w.B = append(w.B, '"', ':')
}

// Int writes a field.
func (w *Writer) Int(key string, v int64) {
	w.key(key)
	if w.form == Binary {
		at := len(w.B)
		w.B = append(w.B, 0, 0, 0, 0)
		w.B = strconv.AppendInt(w.B, v, 10)
		binary.BigEndian.PutUint32(w.B[at:], uint32(len(w.B)-at-4))
		return
	}
	w.B = append(w.B, '"')
	w.B = strconv.AppendInt(w.B, v, 10)
	w.B = append(w.B, '"')
}

// Str writes a field.
func (w *Writer) Str(key, v string) { writeField(w, key, v) }

// Bytes writes a field.
func (w *Writer) Bytes(key string, v []byte) { writeField(w, key, v) }

// Bool writes a field.
func (w *Writer) Bool(key string, v bool) { writeField(w, key, strconv.FormatBool(v)) }

func writeField[S []byte | string](w *Writer, key string, v S) {
	w.key(key)
	if w.form == Binary {
		w.B = binary.BigEndian.AppendUint32(w.B, uint32(len(v)))
		w.B = append(w.B, v...)
		return
	}
	w.B = AppendString(w.B, v)
}

// Body ends the header. What is appended to B until End is the frame's body.
func (w *Writer) Body() {
	if w.form == Binary {
		binary.BigEndian.PutUint32(w.B[w.ext:], uint32(len(w.B)-w.ext-4))
	} else {
		w.B = append(w.B, '}', '}')
	}
	w.body = len(w.B)
	header := uint32(w.body - w.start - 8)
	binary.BigEndian.PutUint32(w.B[w.start+4:], uint32(w.form)<<24|header&0xFFFFFF)
}

// BodySize gives the bytes of the body so far.
func (w *Writer) BodySize() int { return len(w.B) - w.body }

// End closes the frame.
func (w *Writer) End() {
	if w.body == 0 {
		w.Body()
	}
	binary.BigEndian.PutUint32(w.B[w.start:], uint32(len(w.B)-w.start-4))
}
