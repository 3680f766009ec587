package daemon

import "runtime/debug"

// version is set by release builds:
//
//	go build -ldflags "-X github.com/openclaw-security/bus/services/internal/daemon.version=v1.2.3"
var version string

// Version returns the version of the running program: the one given at build
// time, else the module version that the go command derives from the tag and
// revision of the checkout, else "devel".
func Version() string {
	info, _ := debug.ReadBuildInfo()
	return versionOf(version, info)
}

func versionOf(given string, info *debug.BuildInfo) string {
	switch {
	case given != "":
		return given
	case info == nil || info.Main.Version == "" || info.Main.Version == "(devel)":
		return "devel"
	default:
		return info.Main.Version
	}
}
