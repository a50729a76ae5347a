module omnibus/bench/clients/amqp

go 1.22
