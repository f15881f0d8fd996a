package amqp

import "trine/internal/front/amqp/wire"

// intArg gives an integer argument, or otherwise.
func intArg(args wire.Table, name string, otherwise int64) int64 {
	v, _ := args.Get(name)
	if n, ok := v.Int(); ok {
		return n
	}
	return otherwise
}

func textArg(args wire.Table, name string) string {
	v, _ := args.Get(name)
	b, _ := v.Text()
	return string(b)
}
