package wire

import "fmt"

// The reply codes.
const (
	ReplySuccess       = 200
	ContentTooLarge    = 311
	NoRoute            = 312
	NoConsumers        = 313
	ConnectionForced   = 320
	InvalidPath        = 402
	AccessRefused      = 403
	NotFound           = 404
	ResourceLocked     = 405
	PreconditionFailed = 406
	FrameError         = 501
	SyntaxError        = 502
	CommandInvalid     = 503
	ChannelError       = 504
	UnexpectedFrame    = 505
	ResourceError      = 506
	NotAllowed         = 530
	NotImplemented     = 540
	InternalError      = 541
)

var replyNames = map[uint16]string{
	ContentTooLarge: "CONTENT_TOO_LARGE", NoRoute: "NO_ROUTE", NoConsumers: "NO_CONSUMERS",
	ConnectionForced: "CONNECTION_FORCED", InvalidPath: "INVALID_PATH",
	AccessRefused: "ACCESS_REFUSED", NotFound: "NOT_FOUND", ResourceLocked: "RESOURCE_LOCKED",
	PreconditionFailed: "PRECONDITION_FAILED", FrameError: "FRAME_ERROR",
	SyntaxError: "SYNTAX_ERROR", CommandInvalid: "COMMAND_INVALID",
	ChannelError: "CHANNEL_ERROR", UnexpectedFrame: "UNEXPECTED_FRAME",
	ResourceError: "RESOURCE_ERROR", NotAllowed: "NOT_ALLOWED",
	NotImplemented: "NOT_IMPLEMENTED", InternalError: "INTERNAL_ERROR",
}

// Error is a reply that ends a channel or a connection.
type Error struct {
	Code uint16
	Text string // without the code's name
	ID   ID     // the method that caused it; 0: none
	Hard bool   // it ends the connection although its code ends only a channel
}

func errorf(code uint16, format string, args ...any) *Error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

// Errorf gives an Error.
func Errorf(code uint16, format string, args ...any) *Error {
	return errorf(code, format, args...)
}

// Error gives the reply's text as it is sent: `NOT_FOUND - no queue 'q' in vhost '/'`.
func (e *Error) Error() string { return replyNames[e.Code] + " - " + e.Text }

// ReplyText is Error, cut to what a short string holds.
func (e *Error) ReplyText() string { return Short(e.Error()) }

// Connection says whether the error ends the connection, not only a channel.
func (e *Error) Connection() bool {
	switch e.Code {
	case ContentTooLarge, NoRoute, NoConsumers, AccessRefused, NotFound, ResourceLocked,
		PreconditionFailed:
		return e.Hard
	}
	return true
}

// ShortMax is the length of the longest short string.
const ShortMax = 255

// Short cuts s to what a short string holds, marking that it was cut.
func Short(s string) string {
	if len(s) <= ShortMax {
		return s
	}
	return s[:ShortMax-3] + "..."
}
