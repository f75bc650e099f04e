# Shortcuts. Each is one command that works without make as well.

.PHONY: test race lint ci

test:
	go test ./...

race:
	go test -race ./...

# The house rules, and staticcheck in the version that .ci/run pins.
lint:
	go vet ./...
	go test ./internal/lint
	go run $$(sed -n 's/^readonly staticcheck=//p' .ci/run) ./...

ci:
	.ci/run
