// There is no Go here: this keeps ./... out of node_modules.
module github.com/corkline/corkline/dashboards/view/web

go 1.26
