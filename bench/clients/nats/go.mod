module omnibus/bench/clients/nats

go 1.22
