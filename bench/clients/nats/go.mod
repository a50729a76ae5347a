module omnibus.bench/nats

go 1.21
