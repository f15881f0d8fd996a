package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"time"
)

// updateBrokerConfig sends what mqadmin's command of that name sends: the one request
// of RocketMQ's remoting protocol that the Go client has no call for.
//
//	int32 length of the rest, int32 length of the header, header as JSON, body
func updateBrokerConfig(at, body string) error {
	const code = 25
	c, err := net.DialTimeout("tcp", at, 5*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	header, err := json.Marshal(map[string]any{"code": code, "language": "JAVA", "version": 399,
		"opaque": 1, "flag": 0, "serializeTypeCurrentRPC": "JSON"})
	if err != nil {
		return err
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(4+len(header)+len(body)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(header)))
	b = append(append(b, header...), body...)
	if _, err := c.Write(b); err != nil {
		return err
	}
	var sizes [8]byte
	if _, err := io.ReadFull(c, sizes[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(sizes[4:]) & 0xffffff
	if n > 1<<16 {
		return fmt.Errorf("answer of %s: a header of %d bytes", at, n)
	}
	answer := make([]byte, n)
	if _, err := io.ReadFull(c, answer); err != nil {
		return err
	}
	var got struct {
		Code   int    `json:"code"`
		Remark string `json:"remark"`
	}
	if err := json.Unmarshal(answer, &got); err != nil {
		return err
	}
	if got.Code != 0 {
		return fmt.Errorf("set broker configuration at %s: %d %s", at, got.Code, got.Remark)
	}
	return nil
}
