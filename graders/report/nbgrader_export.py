"""The name under which configurations of nbgrader courses know the table with a column per exercise."""

from graders.for_nbgrader.export import Exporter as Exporter
