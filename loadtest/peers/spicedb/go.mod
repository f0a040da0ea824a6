// Pins the SpiceDB that Triad is compared with; see ../README.md.
module triad-peer-spicedb

go 1.26.6

tool github.com/authzed/spicedb/cmd/spicedb

require github.com/authzed/spicedb v1.56.2
