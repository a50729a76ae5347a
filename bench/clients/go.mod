module omnibus/bench/clients

go 1.22
