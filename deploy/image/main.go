// Command image builds Corkline's container image with ko: the static binary
// on nothing (docs/adr/0006). It needs neither Docker nor a registry.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/ko/pkg/build"
	"github.com/google/ko/pkg/publish"
)

const (
	command = "github.com/corkline/corkline/cmd/corkline"
	// user is nobody's; the chart gives root to the agent, which reads root's logs.
	user = "65532:65532"
)

type options struct {
	dir, repository, tag, ldflags, tarball string
	platforms                              []string
	push                                   bool
}

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", "../..", "root of Corkline's repository")
	flag.StringVar(&o.repository, "repository", "ghcr.io/corkline/corkline", "repository of the image")
	flag.StringVar(&o.tag, "tag", "dev", "tag of the image")
	flag.StringVar(&o.ldflags, "ldflags", "-s -w", "flags for the linker")
	flag.StringVar(&o.tarball, "tarball", "", "write the image into this file, for docker load or ctr image import")
	flag.BoolVar(&o.push, "push", false, "push the image to its repository, with the login of docker or podman")
	platforms := flag.String("platforms", "linux/"+runtime.GOARCH, "platforms with commas between them; a tarball holds one")
	flag.Parse()
	o.platforms = strings.Split(*platforms, ",")

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1) //nolint:forbidigo // the command ends here
	}
}

func run(ctx context.Context, o options) error {
	publisher, err := newPublisher(o)
	if err != nil {
		return err
	}
	base, err := nothing(o.platforms)
	if err != nil {
		return err
	}
	builder, err := build.NewGo(ctx, o.dir,
		build.WithBaseImages(func(context.Context, string) (name.Reference, build.Result, error) {
			scratch, err := name.ParseReference("scratch")
			return scratch, base, err
		}),
		build.WithPlatforms(o.platforms...),
		build.WithUser(user),
		build.WithTrimpath(true),
		build.WithConfig(map[string]build.Config{command: {
			Env:     []string{"CGO_ENABLED=0"},
			Flags:   build.FlagArray{"-tags=timetzdata"}, // definitions name time zones
			Ldflags: build.StringArray{o.ldflags},
		}}),
		build.WithLabel("org.opencontainers.image.source", "https://github.com/corkline/corkline"),
		build.WithLabel("org.opencontainers.image.licenses", "Apache-2.0"),
		build.WithLabel("org.opencontainers.image.version", o.tag),
		build.WithDisabledSBOM(), // go version -m of the binary tells the same
		build.WithJobs(runtime.GOMAXPROCS(0)),
	)
	if err != nil {
		return fmt.Errorf("set up the build: %w", err)
	}
	image, err := builder.Build(ctx, build.StrictScheme+command)
	if err != nil {
		return fmt.Errorf("build: %w", err)
	}
	reference, err := publisher.Publish(ctx, image, command)
	if err != nil {
		return errors.Join(fmt.Errorf("publish: %w", err), publisher.Close())
	}
	if err := publisher.Close(); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	fmt.Println(reference)
	return nil
}

func newPublisher(o options) (publish.Interface, error) {
	repository := func(base, _ string) string { return base }
	switch {
	case o.push == (o.tarball != ""):
		return nil, errors.New("give one of -tarball and -push")
	case o.push:
		publisher, err := publish.NewDefault(o.repository, publish.WithTags([]string{o.tag}),
			publish.WithNamer(repository), publish.WithAuthFromKeychain(authn.DefaultKeychain))
		if err != nil {
			return nil, fmt.Errorf("set up the push: %w", err)
		}
		return publisher, nil
	case len(o.platforms) > 1:
		return nil, errors.New("a tarball holds one platform")
	}
	if err := os.MkdirAll(filepath.Dir(o.tarball), 0o755); err != nil {
		return nil, fmt.Errorf("make the tarball's folder: %w", err)
	}
	return publish.NewTarball(o.tarball, o.repository, repository, []string{o.tag}), nil
}

// nothing is a base image without files, for one platform or for several.
func nothing(platforms []string) (build.Result, error) {
	var images []mutate.IndexAddendum
	for _, p := range platforms {
		platform, err := v1.ParsePlatform(p)
		if err != nil {
			return nil, fmt.Errorf("platform %q: %w", p, err)
		}
		image, err := mutate.ConfigFile(mutate.MediaType(empty.Image, types.OCIManifestSchema1), &v1.ConfigFile{
			OS: platform.OS, Architecture: platform.Architecture, Variant: platform.Variant,
			RootFS: v1.RootFS{Type: "layers"}, Config: v1.Config{WorkingDir: "/"},
		})
		if err != nil {
			return nil, fmt.Errorf("make the base for %s: %w", p, err)
		}
		images = append(images, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: platform}})
	}
	if len(images) == 1 {
		return images[0].Add.(v1.Image), nil
	}
	return mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), images...), nil
}
