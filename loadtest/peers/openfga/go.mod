// Pins the OpenFGA that Triad is compared with; see ../README.md.
module triad-peer-openfga

go 1.26.0

tool github.com/openfga/openfga/cmd/openfga

require github.com/openfga/openfga v1.22.1
